"""Files with weights: where they lie, what they are, and how one file becomes a model. Loads nothing but headers
(`single_file` alone needs torch)."""
