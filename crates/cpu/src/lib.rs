//! The reference backend: every operation of the network on the CPU's cores.
