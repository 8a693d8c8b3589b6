"""Everything that is whole in a damaged ``.rec``, copied to a new one; and indexes made anew."""
