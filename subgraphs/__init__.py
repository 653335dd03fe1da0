"""The six domain subgraphs and the kit of functions and values they share."""
