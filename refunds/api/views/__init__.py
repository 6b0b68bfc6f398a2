"""The addresses of the API: each reads the request, calls one service or query, and shows the result."""
