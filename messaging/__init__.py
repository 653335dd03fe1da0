"""Events between subgraphs: what they say, and how they leave one database and reach another exactly once in effect."""
