"""For the query-strategy service: takes delivered decisions and acknowledges them."""
