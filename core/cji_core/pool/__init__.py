"""A pool of workers on Azure Storage, as submitters and workers see it: names, documents, blobs and queues."""
