/*
 * The step transaction of coordinator/round.ts and coordinator/member.ts, for spin: three workers, one coordinator.
 *
 * A message is a value that is written and never taken back: whoever may read it can do so at any time, in any order, twice or never.
 * So delays, duplicates, reordering and losses (what is lost is said again) are all in the model without a channel.
 * Workers crash; workers that live are taken for dead (a pause, a partition) and come back in a new session.
 */
#define N 3
#ifndef STEPS
#define STEPS 2
#endif
#ifndef CRASHES
#define CRASHES 1      /* workers that die */
#endif
#ifndef SUSPICIONS
#define SUSPICIONS 1   /* live workers that are taken for dead */
#endif
#ifndef MIN
#define MIN 1          /* workers that a step needs */
#endif
#define GENERATIONS 10

typedef Workers { byte at[N] };
typedef Steps { bit at[STEPS + 2] };
typedef StepsOfWorkers { Workers step[STEPS + 2] };

/* What the coordinator has said, by generation. An assignment is addressed to a session (plus one); 0: none. */
Workers assigned[GENERATIONS];
byte base[GENERATIONS];
byte members[GENERATIONS];
Steps started[GENERATIONS];
/* The generation in which a step was committed; 0: not yet. */
byte commitIn[STEPS + 2];

/* What workers have said. */
Workers listening[GENERATIONS];
StepsOfWorkers part[GENERATIONS];       /* a worker's part of a sum, as the exchange carries it */
StepsOfWorkers prepared[GENERATIONS];

/* The coordinator. known[w]: the session of w that is in, plus one; 0: not in. */
byte known[N];
byte holds[N];
byte generation = 0;
byte committed = 0;
bool whole = false;      /* all members of the generation are there and listening */
bool opening = false;
bool computing = false;

/* The workers. */
bool alive[N] = true;
byte session[N];
byte mine[N];            /* generation */
byte applied[N];
byte ready[N];           /* the step that is prepared and not applied; 0: none */

byte crashes = 0;
byte suspicions = 0;

#define bitOf(w) (1 << (w))
#define isMember(w) ((members[generation] & bitOf(w)) != 0)
#define has(row, w, g) ((members[g] & bitOf(w)) == 0 || row.at[w] > 0)
#define every(row, g) (has(row, 0, g) && has(row, 1, g) && has(row, 2, g))
#define isHolder(w) (known[w] > 0 && holds[w] == committed)
#define isLacking(w) (known[w] > 0 && holds[w] != committed)
#define holders (isHolder(0) + isHolder(1) + isHolder(2))
#define chosen (isHolder(0) * 1 + isHolder(1) * 2 + isHolder(2) * 4)
#define lacking (isLacking(0) || isLacking(1) || isLacking(2))
#define isOnline(w) (alive[w] && session[w] + 1 == known[w])
/* It has applied what it is said to hold, and so can pass it on. */
#define canGive(w) (isHolder(w) && isOnline(w) && applied[w] == committed)
#define canTake(w) (isLacking(w) && isOnline(w))
#define isBoundary (!opening && !computing && committed < STEPS)
#define isIntact (whole && members[generation] == chosen)

#define LOSE(w) \
    :: atomic { known[w] > 0 && (!alive[w] || suspicions < SUSPICIONS) -> \
        suspicions = suspicions + alive[w]; \
        known[w] = 0; \
        if \
        :: isMember(w) -> whole = false; opening = false; computing = false \
        :: else \
        fi \
      }

active proctype Coordinator() {
    byte i, best;
    do
    :: committed == STEPS -> break

    LOSE(0)
    LOSE(1)
    LOSE(2)

    /* all members listen: the generation is whole */
    :: atomic { opening && every(listening[generation], generation) -> opening = false; whole = true }

    /* all members have prepared: the step is committed */
    :: atomic { computing && every(prepared[generation].step[committed + 1], generation) ->
        committed++;
        assert(commitIn[committed] == 0);             /* every step once */
        commitIn[committed] = generation;
        computing = false;
        for (i : 0 .. N - 1) {
            if
            :: isMember(i) -> holds[i] = committed
            :: else
            fi
        }
      }

    /* a boundary: newcomers take the state over from a worker that has it */
    :: atomic { isBoundary && ((canGive(0) || canGive(1) || canGive(2)) && (canTake(0) || canTake(1) || canTake(2))) ->
        for (i : 0 .. N - 1) {
            if
            :: canTake(i) -> applied[i] = committed; ready[i] = 0; holds[i] = committed
            :: else
            fi
        }
      }

    /* a boundary: the next step of the same members */
    :: atomic { isBoundary && !lacking && holders >= MIN && isIntact ->
        started[generation].at[committed + 1] = 1;
        computing = true
      }

    /* a boundary: the next generation */
    :: atomic { isBoundary && !lacking && holders >= MIN && !isIntact ->
        generation++;
        assert(generation < GENERATIONS);             /* only losses and newcomers raise it */
        members[generation] = chosen;
        base[generation] = committed;
        whole = false;
        opening = true;
        for (i : 0 .. N - 1) {
            if
            :: isMember(i) -> assigned[generation].at[i] = known[i]
            :: else
            fi
        }
      }

    /* nobody holds the last step any more: on from the highest that is held; the steps between are committed again */
    :: atomic { isBoundary && holders == 0 && lacking ->
        best = 0;
        for (i : 0 .. N - 1) {
            if
            :: known[i] > 0 && holds[i] > best -> best = holds[i]
            :: else
            fi
        }
        /* They were lost with all that had applied them, or with letters that nobody in the run may read any more. */
        for (i : best + 1 .. STEPS) { commitIn[i] = 0 }
        committed = best
      }
    od
}

/* Any assignment that was ever addressed to this session, if it is newer than its own. */
#define ASSIGN(g) \
    :: atomic { alive[w] && g > mine[w] && assigned[g].at[w] == session[w] + 1 -> \
        if \
        :: base[g] == applied[w] + 1 && ready[w] == base[g] -> \
            assert(mine[w] == commitIn[base[g]]);     /* what is applied is what was committed */ \
            applied[w] = base[g] \
        :: else \
        fi; \
        assert(base[g] == applied[w]);                /* whoever is assigned can follow */ \
        ready[w] = 0; \
        mine[w] = g; \
        listening[g].at[w] = 1 \
      }
#define next (applied[w] + 1)

proctype Worker(byte w) {
    do
    :: !alive[w] -> break
    :: committed == STEPS -> break

    /* it dies */
    :: atomic { alive[w] && crashes < CRASHES -> crashes++; alive[w] = false }

    /* it joins, or comes back in a new session with what it holds and nothing prepared */
    :: atomic { alive[w] && known[w] == 0 && committed < STEPS ->
        session[w]++;
        mine[w] = 0;
        ready[w] = 0;
        holds[w] = applied[w];
        known[w] = session[w] + 1
      }

    ASSIGN(1)
    ASSIGN(2)
    ASSIGN(3)
    ASSIGN(4)
    ASSIGN(5)
    ASSIGN(6)
    ASSIGN(7)
    ASSIGN(8)
    ASSIGN(9)

    /* its part of the step, from the weights it has */
    :: atomic { alive[w] && ready[w] == 0 && started[mine[w]].at[next] && part[mine[w]].step[next].at[w] == 0 ->
        part[mine[w]].step[next].at[w] = 1
      }

    /* the parts of all members are there: prepared */
    :: atomic { alive[w] && ready[w] == 0 && part[mine[w]].step[next].at[w] > 0 && every(part[mine[w]].step[next], mine[w]) ->
        ready[w] = next;
        prepared[mine[w]].step[next].at[w] = 1
      }

    /* the commit of the step that it has prepared, in the generation in which it has prepared it */
    :: atomic { alive[w] && ready[w] > 0 && commitIn[ready[w]] == mine[w] ->
        assert(ready[w] == next);                     /* in order, each once */
        applied[w] = ready[w];
        ready[w] = 0
      }
    od
}

init {
    atomic { run Worker(0); run Worker(1); run Worker(2) }
}

ltl live { <> (committed == STEPS || (!alive[0] && !alive[1] && !alive[2])) }
