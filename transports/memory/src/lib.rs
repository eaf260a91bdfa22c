//! moorline-memory
