"""Where parameters live: one interface (`base`), AWS (`ssm`) and memory (`memory`)."""
