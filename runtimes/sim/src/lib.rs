//! moorline-sim
