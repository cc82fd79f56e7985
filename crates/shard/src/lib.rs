//! The shard format: writer, reader, set of shards.
