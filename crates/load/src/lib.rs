//! Plan, draws, augmentation, worker threads and the ring of batches.
