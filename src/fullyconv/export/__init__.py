"""From a finished scan to what others open: GeoTIFF, QuPath's GeoJSON, tables, pictures."""
