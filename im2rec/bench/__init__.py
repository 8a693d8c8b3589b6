"""Where the time goes: the stages of feeding and of packing, timed one by one and together."""
