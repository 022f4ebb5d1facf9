"""An executor and a transport of one's own: an example of a package that brings them to maintsched."""
