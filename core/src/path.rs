//! Path transforms: where a blob lies below its namespace.
