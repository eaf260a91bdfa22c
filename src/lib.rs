//! moorline.
