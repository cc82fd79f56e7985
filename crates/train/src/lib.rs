//! The training loop: recipes, evaluation, the folder of a run, resume.
