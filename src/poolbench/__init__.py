"""Which pooler should I use with this encoder on this data, and what does it cost?"""
