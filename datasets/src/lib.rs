//! What is known of each data set, and the generator of the built-in sample.
