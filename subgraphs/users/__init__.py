"""Who people are: accounts, sessions, sellers and their applications, and what people are notified of."""
