// Holds the precompiled header (pch.h) that the compiler libraries share.
