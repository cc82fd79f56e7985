//! What the five programs share: messages, progress, exit codes.
