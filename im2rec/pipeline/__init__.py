"""The way of a record into a batch: parameters, order, records, labels, rows, memory, prefetching."""
