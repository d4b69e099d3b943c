"""What a page shows and does not say: words in pictures, by OCR."""
