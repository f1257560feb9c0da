"""Identity and endpoints as Microsoft Graph objects, and the program that brings a tenant to them.

The folders hold one object a file, exactly as Graph takes it; `{{…}}` stands for what only the tenant knows.
"""
