"""Which events a person would want to know of, and how they are told.

Owns: the choice and the words. Never: counts (traces.summary) or escapes what peers wrote (whoever shows it).
"""

from reconciler.traces.model import EventType, SwarmEvent

# Of a JobStart: what was found out before anything could be fetched.
BEFORE_THE_START = frozenset({"resolved", "edition chosen", "left out"})

_TOLD_ALWAYS = {
    EventType.RESCUE_MODE_ACTIVATED: "Rescue mode activated",
    EventType.RESCUE_MODE_DEACTIVATED: "Rescue mode deactivated",
    EventType.SWARM_REBALANCED: "Swarm rebalanced",
}


def key_text(event: SwarmEvent, *, again: bool) -> str:
    """What a key event says, with its reason in parentheses; empty for all other events.

    `again` = the job had been started before this event.
    """
    told = _TOLD_ALWAYS.get(event.type) or _told_sometimes(event, again=again)
    reason = event.error_message or event.error_code or event.metadata.get("reason", "")
    return f"{told} ({reason})" if told and reason else told


def _told_sometimes(event: SwarmEvent, *, again: bool) -> str:
    told = ""
    match (event.type, event.action):
        case (EventType.JOB_START, "resolved"):
            told = f"Looked up at MusicBrainz: {_looked_up(event)}"
        case (EventType.JOB_START, "edition chosen"):
            told = f"Chose release {event.metadata.get('release', '')} of {event.metadata.get('title', '')}"
        case (EventType.JOB_START, "resumed"):
            told = "Resumed"
        case (EventType.JOB_START, _) if again:
            told = "Started again"
        case (EventType.JOB_COMPLETE, "failed"):
            told = "Job failed"
        case (EventType.TRACK_START | EventType.TRACK_COMPLETE, _) | (EventType.ERROR, "held" | "lost"):
            told = _told_of_track(event)
        case (EventType.PEER_DISCONNECTED, "banned"):
            told = f"Peer {event.peer_id} banned"
        case (EventType.ERROR, action):
            told = f"Error: {action}" + (f", peer {event.peer_id}" if event.peer_id else "")
        case _:
            pass
    return told


def _told_of_track(event: SwarmEvent) -> str:
    what = {
        (EventType.TRACK_START, "resumed"): f"resumed, {event.metadata.get('chunks_kept', 0)} chunks kept",
        (EventType.TRACK_COMPLETE, "failed"): "failed",
        (EventType.TRACK_COMPLETE, "renamed"): f"renamed, its name was taken: {event.metadata.get('path', '')}",
        (EventType.ERROR, "held"): "held up by our own disk",
        (EventType.ERROR, "lost"): "lost by our own disk, and fetched again",
    }.get((event.type, event.action))
    if what is None and event.metadata.get("suspicion"):
        what = f"published, with a warning: {event.metadata['suspicion']}"
    return f"Track {event.track_id} {what}" if what else ""


def _looked_up(event: SwarmEvent) -> str:
    facts = event.metadata
    if "chosen" in facts:
        return f"{facts.get('name', '')}, {facts['chosen']} of {facts.get('groups', 0)} releases wanted"
    return f"{facts.get('artist', '')} - {facts.get('title', '')}"
