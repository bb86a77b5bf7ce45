//! What our programs do alike as processes: options, logs, metrics, listeners, TLS, ordered shutdown
