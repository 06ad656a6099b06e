"""The command `gifqa`: one file a sub-command, each a thin shell around one public function."""
