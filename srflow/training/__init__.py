"""Training: recipes, the picture store, the stages encoder → flow → both → finetuning, and the loop that runs them."""
