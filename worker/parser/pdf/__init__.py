"""PDF, and images as its pages: each page in the lane that it needs."""
