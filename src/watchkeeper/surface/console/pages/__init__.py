"""The pages: one file a noun. Each asks the API, works out its answer in one sentence, and hands both to its template."""
