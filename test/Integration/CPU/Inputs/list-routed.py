"""Prints for each dispatch of a bundle its site, its group and its route, or "whole": list-routed.py BUNDLE."""
import json
import sys

with open(sys.argv[1] + "/program.json") as file:
    for dispatch in json.load(file)["dispatches"]:
        print(dispatch["site"], dispatch["group"], dispatch.get("route", "whole"))
