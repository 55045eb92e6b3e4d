"""Prints for each dispatch of a bundle its site, its group and its route, or "whole", and whether it is over
the rows that are passed by: list-routed.py BUNDLE."""
import json
import sys

with open(sys.argv[1] + "/program.json") as file:
    for dispatch in json.load(file)["dispatches"]:
        print(dispatch["site"], dispatch["group"], dispatch.get("route", "whole"), *(["passed"] if dispatch.get("passed") else []))
