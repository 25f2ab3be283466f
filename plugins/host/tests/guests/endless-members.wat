;; Never comes back from the members.
;;; members
(loop $ever (br $ever))
