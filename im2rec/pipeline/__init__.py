"""From records to batches: parameters, order, records, labels, rows, memory, prefetching.

1. ``order`` yields a ``BatchRequest`` for each batch: the records of its rows.
2. ``prefetch`` leases a ``BatchBuffer`` for it from ``buffers``, where all memory of batches comes from, and cuts the
   request into pieces. ``backends`` runs the pieces on threads or in processes.
3. ``loader`` reads the records of a piece (``records``), decodes and augments each, and writes it and its label
   (``labels``) into its row.
4. A record that fails becomes a ``RowProblem``, which ``Loader.load`` returns and which travels with the batch.
   ``ImageRecordIter`` raises its error when that batch is taken, or drops the row.
"""
