"""Training: recipes, the picture store, the stages encoder → flow → both, and the loop that runs them."""
