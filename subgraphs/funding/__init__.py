"""Funding: projects, rewards, pledges, and what creators and backers say to one another."""
