"""Flash sales: few units, many buyers, a fixed opening time; a waiting room before, a ledger behind."""
