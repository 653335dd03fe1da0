"""A payment provider to develop and test against: speaks Toss Payments' HTTP API, keeps its own books, and misbehaves
when told to. It shares no code with the adapter that talks to it."""
