"""``python -m worker [QUEUE...]``: takes jobs from the queues named, or from all."""

from worker.unwanted_library import keep_out

if __name__ == "__main__":
    keep_out()
    from worker.command import main

    main()
