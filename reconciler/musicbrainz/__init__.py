"""What exists: releases, artists and labels as MusicBrainz knows them, asked for politely and remembered."""
