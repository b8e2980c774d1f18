//! The derive macro of `atomic-streams`.
