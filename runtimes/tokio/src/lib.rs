//! moorline-tokio
