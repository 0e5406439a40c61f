"""A trained model, used: what happens between a picture that somebody gives and the super-resolutions of it."""
