"""What every subgraph uses: functions and values, no frameworks. Knows no subgraph."""
