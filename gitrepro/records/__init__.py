"""The nouns on record, frozen, and the bytes they are written as."""
