"""What a person may ask of a shop that keeps data about them: all of it, and its end."""
