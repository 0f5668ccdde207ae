"""Do the statistics that a model normalizes with fit examples?"""
