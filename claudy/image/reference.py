"""stub"""
def source_files() -> list[str]:
    return []
