"""The report as one HTML page that needs nothing from outside: cases, tables, inline SVG."""
